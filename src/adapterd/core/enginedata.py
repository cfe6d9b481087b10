"""What serving engines know by name: PEFT's kinds and config keys by release, vLLM's model classes. Data alone.

Taken from the engines' own sources; a newer release is read anew, and `core.enginerules` says which one was read last.
"""


def _names(text: str) -> frozenset[str]:
    """The names in a text."""
    return frozenset(text.split())


PEFT_TYPES = {
    "0.3": "ADALORA ADAPTION_PROMPT LORA PREFIX_TUNING PROMPT_TUNING P_TUNING",
    "0.4": "IA3",
    "0.6": "LOHA LOKR MULTITASK_PROMPT_TUNING",
    "0.7": "OFT",
    "0.8": "POLY",
    "0.11": "BOFT LN_TUNING VERA",
    "0.12": "FOURIERFT HRA XLORA",
    "0.13": "VBLORA",
    "0.14": "BONE CPT",
    "0.15": "TRAINABLE_TOKENS",
    "0.16": "C3A RANDLORA",
    "0.17": "MISS SHIRA",
    "0.18": "DELORA OSF ROAD WAVEFT",
    "0.19": "ADAMSS CARTRIDGE GRALORA LILY PEANUT PSOFT PVERA TINYLORA",
    "0.20": "BEFT DEFT FROD GLORA HIRA UNILORA",
    "0.21": "SHADOW SUPERTUNING",
}
"""The release of PEFT that first knew a kind: `PeftType` in the wheels 0.3.0 to 0.21.0."""

PEFT_KEYS = {
    "0.4": "layers_pattern layers_to_transform",
    "0.6": "alpha_pattern rank_pattern",
    "0.7": "loftq_config megatron_config megatron_core",
    "0.8": "use_rslora",
    "0.9": "use_dora",
    "0.10": "layer_replication",
    "0.12": "runtime_config",
    "0.14": "eva_config exclude_modules lora_bias",
    "0.15": "corda_config trainable_token_indices",
    "0.16": "qalora_group_size use_qalora",
    "0.17": "target_parameters",
    "0.18": "alora_invocation_tokens arrow_config ensure_weight_tying",
    "0.19": "lora_ga_config use_bdlora",
    "0.20": "monteclora_config velora_config",
    "0.21": "kasa_config",
}
"""The release of PEFT that first knew a key of a LoRA config: `LoraConfig` in the same wheels."""

PEFT_IDLE = frozenset({"megatron_core", "qalora_group_size", "runtime_config"})
"""Keys that PEFT writes with a value though nothing uses it."""

PEFT_INITS = {
    "0.7": "gaussian loftq",
    "0.11": "pissa",
    "0.12": "olora",
    "0.14": "eva",
    "0.15": "corda",
    "0.16": "orthogonal",
    "0.19": "lora_ga",
    "0.20": "mica",
}
"""The release of PEFT that first knew a value of ``init_lora_weights``."""

PEFT_TOLERANT = "0.14"
"""From this release on PEFT drops a config key that it does not know, with a warning; older ones refuse the config."""

SHARED_STATE = frozenset({"FROD", "PVERA", "TINYLORA", "UNILORA", "VBLORA", "VERA"})
"""Kinds whose layers share tensors of the tuner: `uses_shared_state` in PEFT 0.21."""

VLLM_LORA = _names(
    """
    AXK1ForCausalLM AfmoeForCausalLM AliceAIForCausalLM Alpamayo2Super ApertusForCausalLM
    AudioFlamingo3ForConditionalGeneration BagelForConditionalGeneration BailingMoeForCausalLM
    BailingMoeV2ForCausalLM BertForSequenceClassification BertForTokenClassification BertModel
    BertSpladeSparseEmbeddingModel BgeM3EmbeddingModel Blip2ForConditionalGeneration ChatGLMForConditionalGeneration
    ChatGLMModel ClefFlashForJointSchema ClefOmniForJointSchema Cohere2ForCausalLM
    CohereCompassForConditionalGeneration CohereForCausalLM ColPaliForRetrieval Cosmos3ForConditionalGeneration
    DeciLMForCausalLM DeepseekForCausalLM DeepseekOCR2ForCausalLM DeepseekOCRForCausalLM DeepseekV2ForCausalLM
    DeepseekV3BidirectionalModel DeepseekV3ForCausalLM DotsOCRForCausalLM Eagle2_5_VLForConditionalGeneration
    Ernie4_5ForCausalLM Ernie4_5_MoeForCausalLM Ernie4_5_VLMoeForConditionalGeneration Exaone4ForCausalLM
    Exaone4_5_ForConditionalGeneration ExaoneForCausalLM ExaoneMoEForCausalLM ExaoneMoeForCausalLM
    FalconH1ForCausalLM GLM4VForCausalLM Gemma2ForCausalLM Gemma2Model Gemma3ForCausalLM
    Gemma3ForConditionalGeneration Gemma4ForCausalLM Gemma4ForConditionalGeneration
    Gemma4UnifiedForConditionalGeneration GemmaForCausalLM Glm4ForCausalLM Glm4MoeForCausalLM Glm4MoeLiteForCausalLM
    Glm4vForConditionalGeneration Glm4vMoeForConditionalGeneration GlmAsrForConditionalGeneration
    GlmMoeDsaForCausalLM GlmOcrForConditionalGeneration GptOssForCausalLM Granite4VisionForConditionalGeneration
    GraniteForCausalLM GraniteMoeForCausalLM GraniteMoeHybridForCausalLM GraniteMoeSWAForCausalLM
    GraniteMoeSharedForCausalLM GraniteSWAForCausalLM GraniteSpeechForConditionalGeneration
    GraniteSpeechPlusForConditionalGeneration H2OVLChatModel HYV3ForCausalLM HyperCLOVAXForCausalLM
    IQuestCoderForCausalLM Idefics3ForConditionalGeneration InternLM2ForCausalLM InternLM2ForRewardModel
    InternLM3ForCausalLM InternS1ForConditionalGeneration InternS1ProForConditionalGeneration
    InternS2MobiusForConditionalGeneration InternS2PreviewForConditionalGeneration InternVLChatModel
    InternVLForConditionalGeneration IsaacForConditionalGeneration JambaForCausalLM JambaForSequenceClassification
    JinaEmbeddingsV5Model JinaVLForRanking K2HorizonForCausalLM KeyeForConditionalGeneration
    KeyeVL1_5ForConditionalGeneration LLaMAForCausalLM LagunaForCausalLM Lfm2ForCausalLM Lfm2MoeForCausalLM
    Lfm2VlForConditionalGeneration LightOnOCRForConditionalGeneration Llama4ForCausalLM
    Llama4ForConditionalGeneration LlamaForCausalLM LlamaModel LlamaNemotronVLForSequenceClassification
    LlamaNemotronVLModel Llama_Nemotron_Nano_VL LlavaForConditionalGeneration LlavaNextForConditionalGeneration
    LlavaNextVideoForConditionalGeneration LongcatFlashForCausalLM LongcatFlashNgramForCausalLM MiMoForCausalLM
    MiniCPM3ForCausalLM MiniCPMForCausalLM MiniCPMO MiniCPMOcrForConditionalGeneration MiniCPMV
    MiniCPMV4_6ForConditionalGeneration MiniCPMV4_7ForConditionalGeneration MiniMaxM2ForCausalLM
    Ministral3ForCausalLM Mistral3ForConditionalGeneration MistralForCausalLM MistralLarge3ForCausalLM MistralModel
    MixtralForCausalLM ModernBertModel Molmo2ForConditionalGeneration MolmoForCausalLM MossAudioModel
    MuseGlimmerForCausalLM MuseGlimmerForConditionalGeneration NVLM_D NemotronForCausalLM NemotronHForCausalLM
    NemotronHPuzzleForCausalLM NemotronH_Nano_Omni_Reasoning_V3 NemotronH_Nano_VL_V2 NemotronH_Omni_Reasoning_V3
    NemotronH_Super_Omni_Reasoning_V3 OPTForCausalLM OlmoHybridForCausalLM OlmoeForCausalLM
    OpenCUAForConditionalGeneration OpenPanguVLForConditionalGeneration PaliGemmaForConditionalGeneration
    PanguEmbeddedForCausalLM PanguProMoEV2ForCausalLM PanguUltraMoEForCausalLM Param2MoEForCausalLM Phi3ForCausalLM
    Phi4MMForCausalLM PhiMoEForCausalLM PixtralForConditionalGeneration Plamo3ForCausalLM
    QianfanOCRForConditionalGeneration Qwen2ForCausalLM Qwen2ForProcessRewardModel Qwen2ForRewardModel Qwen2Model
    Qwen2MoeForCausalLM Qwen2VLForConditionalGeneration Qwen2_5OmniForConditionalGeneration Qwen2_5OmniModel
    Qwen2_5_VLForConditionalGeneration Qwen3ASRForConditionalGeneration Qwen3ASRForcedAlignerForTokenClassification
    Qwen3ASRRealtimeGeneration Qwen3ForCausalLM Qwen3MoeForCausalLM Qwen3NextForCausalLM
    Qwen3OmniMoeForConditionalGeneration Qwen3VLForConditionalGeneration Qwen3VLMoeForConditionalGeneration
    Qwen3_5ForCausalLM Qwen3_5ForConditionalGeneration Qwen3_5MoeForCausalLM Qwen3_5MoeForConditionalGeneration
    Rnj1ForCausalLM RobertaForMaskedLM RobertaForSequenceClassification RobertaModel SarvamMLAForCausalLM
    SarvamMoEForCausalLM SmolVLMForConditionalGeneration SolarForCausalLM TeleChat2ForCausalLM TeleChat3ForCausalLM
    TeleFLMForCausalLM UltravoxModel UnlimitedOCRForCausalLM VoxtralForConditionalGeneration
    VoxtralRealtimeGeneration VoyageQwen3BidirectionalEmbedModel WhisperForConditionalGeneration
    XLMRobertaForSequenceClassification XLMRobertaModel
    """
)
"""Architectures whose class in vLLM 0.33.0 takes LoRA: `SupportsLoRA` among the bases of those in its registry."""

VLLM_NO_LORA = _names(
    """
    AriaForConditionalGeneration BailingMoeV2_5ForCausalLM BailingMoeV3ForCausalLM
    BailingMoeV3VLForConditionalGeneration BeamForCausalLM BeeForConditionalGeneration BertForMaskedLM
    BloomForCausalLM CLIPModel Cohere2MoeForCausalLM Cohere2VisionForConditionalGeneration
    CohereAsrForConditionalGeneration Cosmos3EdgeForConditionalGeneration D3ForSequenceClassification
    DbrxForCausalLM DeepseekV32ForCausalLM DeepseekV41ForCausalLM DeepseekV4ForCausalLM
    DeepseekV4ForConditionalGeneration DeepseekVLV2ForCausalLM DiffusionGemmaForBlockDiffusion DomynEdgeForCausalLM
    DoryForCausalLM Dots3NoteForCausalLM EmbeddingGemma2Model FalconForCausalLM FalconMambaForCausalLM
    FireRedASR2ForConditionalGeneration FlintForCausalLM FunASRForConditionalGeneration
    FunAudioChatForConditionalGeneration GPT2ForSequenceClassification GPT2LMHeadModel GPTJForCausalLM
    Gemma3TextModel Gemma3nForCausalLM Gemma3nForConditionalGeneration Glm5NextForCausalLM
    Glm5NextForConditionalGeneration GteModel GteNewForSequenceClassification GteNewModel HCXVisionV2ForCausalLM
    HYV4ForCausalLM HfMoondream HrmTextForCausalLM IQuestLoopCoderForCausalLM InklingForCausalLM
    InklingForConditionalGeneration KananaVForConditionalGeneration KimiK25ForConditionalGeneration
    KimiK3ForConditionalGeneration KimiLinearForCausalLM KimiVLForConditionalGeneration Lfm2BidirectionalModel
    LlamaBidirectionalForSequenceClassification LlamaBidirectionalModel LlavaOnevision2ForConditionalGeneration
    LlavaOnevisionForConditionalGeneration Mamba2ForCausalLM MambaForCausalLM MiDashengLMModel
    MiMoV2FlashForCausalLM MiMoV2ForCausalLM MiMoV2OmniForCausalLM MiniMaxM3SparseForCausalLM
    MiniMaxM3SparseForConditionalGeneration ModernBertForSequenceClassification ModernBertForTokenClassification
    Moondream3ForCausalLM MoonshotKimiaForCausalLM MossTranscribeDiarizeForConditionalGeneration
    MuseSparkForConditionalGeneration NemotronParseForConditionalGeneration NomicBertModel
    OpenAIPrivacyFilterForTokenClassification OpenVLAForActionPrediction OrionForCausalLM Ovis Ovis2_5
    Ovis2_6ForCausalLM Ovis2_6_MoeForCausalLM PaddleOCRVLForConditionalGeneration Phi3VForCausalLM Phi4ForCausalLMV
    Qwen2AudioForConditionalGeneration Qwen4ExpForCausalLM Qwen4ExpForConditionalGeneration
    RForConditionalGeneration RadioMBartPrefixForCausalLM RobertaForTokenClassification SiglipModel
    SkyworkR1VChatModel StableLmForCausalLM Step1ForCausalLM Step3TextForCausalLM Step3VLForConditionalGeneration
    Step3p5ForCausalLM Step3p7ForConditionalGeneration Step5ForCausalLM Step5ForConditionalGeneration
    StepVLForConditionalGeneration Terratorch XLMRobertaForTokenClassification Zamba2ForCausalLM
    """
)
"""Architectures in the registry of vLLM 0.33.0 whose class takes no LoRA."""

VLLM_WRAPPED = _names(
    """
    CohereCompassForConditionalGeneration Gemma3ForConditionalGeneration Gemma4ForConditionalGeneration
    Gemma4UnifiedForConditionalGeneration Glm4vForConditionalGeneration Glm4vMoeForConditionalGeneration
    GlmOcrForConditionalGeneration Granite4VisionForConditionalGeneration InternS1ForConditionalGeneration
    InternS1ProForConditionalGeneration InternVLForConditionalGeneration Lfm2VlForConditionalGeneration
    LightOnOCRForConditionalGeneration LlavaForConditionalGeneration LlavaNextForConditionalGeneration
    LlavaNextVideoForConditionalGeneration MiniCPMOcrForConditionalGeneration MiniCPMV4_6ForConditionalGeneration
    MiniCPMV4_7ForConditionalGeneration MuseGlimmerForConditionalGeneration PaliGemmaForConditionalGeneration
    PixtralForConditionalGeneration Qwen3ASRForConditionalGeneration Qwen3ASRRealtimeGeneration
    Qwen3VLForConditionalGeneration Qwen3VLMoeForConditionalGeneration Qwen3_5ForConditionalGeneration
    Qwen3_5MoeForConditionalGeneration
    """
)
"""Of those that take LoRA: the language model lies under ``language_model``; names without it match nothing."""
