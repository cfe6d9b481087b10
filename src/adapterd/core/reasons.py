"""The one table of reasons: code, stage, severity, hint. Append-only: a code is stable for ever.

Messages carry the numbers; the hint says the likely cause and what to do. The documentation page is generated from
this table.
"""

from dataclasses import dataclass
from enum import StrEnum

from adapterd.core.version import Reason


class Severity(StrEnum):
    """What a reason does to the version or directory that has it."""

    REJECT = "reject"
    """The version is rejected under the current policy."""
    WARN = "warn"
    """Recorded in report, card and manifest; nothing stops."""
    STALL = "stall"
    """A person must act."""
    WAIT = "wait"
    """It moves on by itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table; `where` is the step that gives the reason."""

    code: str
    where: str
    severity: Severity
    hint: str


_R, _W, _S, _T = Severity.REJECT, Severity.WARN, Severity.STALL, Severity.WAIT

# fmt: off
TABLE: tuple[Entry, ...] = (
    # discover and settle
    Entry("half_written", "settle", _T, "the trainer is still writing; nothing to do"),
    Entry("quiet_time", "settle", _T, "the directory is whole and must stay unchanged for settle.quiet"),
    Entry("state_file_missing", "settle", _T, "a checkpoint is finished when its trainer_state.json is there; after settle.patience the quiet time applies"),
    Entry("open_for_writing", "settle", _T, "a process still has the weights open; nothing to do"),
    Entry("no_adapter", "discover", _W, "this directory holds no PEFT adapter"),
    Entry("full_model", "discover", _W, "a full model's weights lie here; adapterd publishes adapters only"),
    Entry("sharded_state", "discover", _W, "FSDP or DeepSpeed shards are no adapter; convert them first (zero_to_fp32.py, or save with a full state dict)"),
    Entry("baseline", "discover", _W, "it was there before adapterd watched this root; `adapterd sync DIR` publishes it, or set `backlog`"),
    Entry("unwanted", "discover", _W, "the root's `checkpoints` setting leaves it out; `adapterd sync DIR` publishes it all the same"),
    Entry("unwanted_by_label", "discover", _W, "the run's adapterd.yaml says `publish: no`"),
    Entry("unfinished", "discover", _W, "the run wrote no final save; `adapterd sync DIR` publishes a checkpoint of it"),
    Entry("source_gone", "settle", _W, "the directory was deleted before its snapshot was taken; raise save_total_limit, or let checkpoints live longer"),
    Entry(
        "source_unreadable", "settle", _S, "safetensors writes mode 0600: run adapterd as the training user"
    ),
    Entry("root_missing", "discover", _T, "the root does not exist; it is looked for at every scan"),
    Entry("root_unreadable", "discover", _T, "let the user of adapterd read and enter the root"),
    Entry("generic_name", "settle", _S, "write `adapter: my-name` into the run's adapterd.yaml, rename the run folder, or set a naming template"),
    Entry("bad_name", "settle", _S, "a repo name has letters, digits, '-', '_' and '.', at most 96; write `adapter: my-name` into the run's adapterd.yaml"),
    Entry("bad_labels", "settle", _S, "correct the run's adapterd.yaml; the reference page of labels (docs/reference/labels.md) lists the keys, and so does `adapterd config example --labels`"),
    Entry("name_collision", "settle", _S, "two roots render the same adapter name; change one naming template or name the adapter in adapterd.yaml; where a root has moved, `adapterd rebind ADAPTER ROOT`"),
    Entry("series_changed", "settle", _S, "an adapter's base model, PEFT type and task stay the same over its versions; give the new series a name of its own"),
    Entry("bad_config", "settle", _R, "adapter_config.json cannot be read as a PEFT configuration; save the adapter again"),
    Entry("bad_weights", "settle", _R, "the weights file is not a whole safetensors file; save the adapter again"),
    Entry("pickle_only", "settle", _R, "save with safe_serialization=True: pickles can run code when they are loaded; or set validation.convert_pickle: true"),
    Entry("not_regular", "settle", _R, "links, pipes and devices are never copied; write regular files"),
    Entry("too_large", "settle", _R, "raise settle.max_size if this is meant to be an adapter"),
    Entry("leaks_secret", "settle", _S, "a file that would be published holds a token; remove it at the source, revoke the token, save again"),
    Entry("changed_while_copying", "settle", _T, "the trainer wrote while it was copied; it is copied again"),
    Entry("spool_full", "settle", _T, "make room on the spool's file system; nothing is lost, the copy is tried again"),
    Entry("spool_unwritable", "settle", _T, "let the user of adapterd write to the spool"),
    Entry("abandoned", "settle", _R, "the trainer stopped half-way; it is looked at again when anything changes"),
    Entry("marker_outdated", "settle", _T, "the marker beside it vouches for other files: a new one is waited for, and after settle.patience the quiet time applies; remove the marker if nobody writes it any more"),
    Entry("spool_unreadable", "validate", _T, "the spool's disk does not answer, or is not mounted; it is tried again with growing pauses"),
    # validate
    Entry("base_unknown", "validate", _S, "list the base under base_models with its Hub id and what the trainer writes (`written_as`), then `adapterd retry`"),
    Entry("base_not_at_hand", "validate", _S, "run `adapterd base fetch`, set base_models[].fetch: true, or give base_models[].path; then `adapterd retry`"),
    Entry("base_fetching", "validate", _T, "the base model is being downloaded"),
    Entry("missing_keys", "validate", _R, "the config promises tensors that the file lacks: another target_modules or rank, or a save that lost them"),
    Entry("unexpected_keys", "validate", _R, "the file holds tensors that the config does not place: PEFT would drop them without a word; the key prefix or target_modules is wrong"),
    Entry("shape_mismatch", "validate", _R, "the weights fit another base model or another rank"),
    Entry("base_keys", "validate", _R, "the file holds weights of the base model itself, which would overwrite the resident base"),
    Entry("empty_tensors", "validate", _R, "ZeRO-3 without stage3_gather_16bit_weights_on_model_save writes tensors without elements"),
    Entry("non_finite", "validate", _R, "the training diverged, or the file was damaged: there are NaN or Inf values in the weights"),
    Entry("no_effect", "validate", _R, "the adapter changes no weight: lora_B is all zero, or alpha is 0; it was saved before training, or training never reached it"),
    Entry("load_failed", "validate", _R, "PEFT itself cannot load this adapter into this base model"),
    Entry("roundtrip_differs", "validate", _R, "what is in memory after loading is not what is in the file"),
    Entry("output_non_finite", "validate", _R, "the forward pass gives NaN or Inf in the serving dtype; try another dtype, or train with smaller steps"),
    Entry("loss_too_high", "validate", _R, "the loss on the probe texts is above validation.limits; see the report's numbers"),
    Entry("base_changed", "validate", _R, "after removing the adapter the base model is not what it was: the adapter overwrites base weights"),
    Entry("head_missing", "validate", _R, "the classification head is not in the file, so that each load has a random one; set task_type, or modules_to_save"),
    Entry("logits_unchanged", "validate", _W, "the weights change but the probe texts' outputs do not in this dtype: an early checkpoint, or probe texts that never reach it"),
    Entry("loss_not_lower", "validate", _W, "on the probe texts the loss is not lower with the adapter; the probe texts may not be of its domain"),
    Entry("unsupported_task", "validate", _R, "no class of transformers fits this task and base model, so that no loader could attach the adapter; set task_type when training"),
    Entry("unsupported_peft", "validate", _R, "the installed PEFT does not know this adapter type or these config keys; upgrade peft on the training host"),
    Entry("worker_crashed", "validate", _S, "the validation worker died; see the log tail in `adapterd show`, then `adapterd retry`"),
    Entry("worker_timeout", "validate", _S, "raise validation.deadline, or see why the worker hangs in `adapterd show`; then `adapterd retry`"),
    Entry("worker_out_of_memory", "validate", _S, "the worker was killed for memory: give it more, use a smaller dtype or another device; then `adapterd retry`"),
    Entry("worker_protocol", "validate", _S, "the worker and the daemon are not of one installation; reinstall adapterd, then `adapterd retry`"),
    Entry("worker_restarted", "validate", _T, "the worker died once; it is tried again in a fresh one"),
    Entry("device_busy", "validate", _T, "no configured device has room now; training goes first"),
    Entry("snapshot_damaged", "validate", _S, "the snapshot in the spool is not what was copied; check the disk, then `adapterd sync DIR`"),
    Entry("tokens_out_of_range", "validate", _R, "tokens were added to the tokenizer, but neither base nor file has embeddings for them; resize the embeddings before training, and save them"),
    Entry("key_prefix", "validate", _R, "the keys fit once a prefix is taken out or put in: save the unwrapped model (torch.compile, DDP and named adapters leave such traces)"),
    Entry("partial_rows", "validate", _R, "the same share of rows is zero in every module: one rank's part of an FSDP2 save; gather the full state dict before saving"),
    Entry("zeroed_pages", "validate", _R, "whole pages of the file are zero: it was written while the disk was full, or restored in part; save or copy it again"),
    Entry("absurd_values", "validate", _R, "values far outside what training gives: a flipped bit, a wrong scale, or a diverged run"),
    Entry("dtype_mismatch", "validate", _R, "the file holds whole numbers where the adapter has fractions: it was quantised or cast on the way; save it as it was trained"),
    Entry("effect_too_large", "validate", _R, "the adapter changes most layers by more than their own size: a wrong alpha or scale, or a diverged run; raise validation.limits.max_effect if it is meant"),
    Entry("modules_without_effect", "validate", _W, "some of the wrapped layers are not changed: frozen on purpose, or lost on the way"),
    Entry("not_exercised", "validate", _W, "text probes never run these modules: the verdict says nothing about them"),
    Entry("structural_only", "validate", _W, "no listed device can hold the base model: keys, shapes and values were checked, no forward pass was made"),
    Entry("base_differs", "validate", _S, "the base model on this host is not the one that the adapter was trained on; put the right one there, or correct what names it, then `adapterd retry`"),
    Entry("composition_unverified", "validate", _W, "it was trained on its base and other adapters, which are not configured: roots[].trained_on names them"),
    Entry("loss_unlike_expected", "validate", _R, "the loss is not what the run's adapterd.yaml expects: the wrong base, a wrong alpha or scaling, or probes that are not those of the run"),
    Entry("loss_above_training", "validate", _W, "on the probes the loss is far above what the trainer measured last: the wrong base, a wrong scaling, or probes of another kind than the training data"),
    Entry("loss_above_former", "validate", _W, "the loss is well above that of the version before; promotion rules may hold it back"),
    Entry("loss_worse_than_chance", "validate", _W, "with the adapter the model does worse on the probe texts than guessing: narrow training does that, and so does a wrong scale"),
    Entry("gate_refused", "validate", _R, "a command of validation.gates said no; its last lines say why"),
    Entry("gate_failed", "validate", _S, "a command of validation.gates did not end in time, or could not be started; correct it, then `adapterd retry`"),
    Entry("engine_refuses", "validate", _R, "an engine of validation.require_engines would not serve this adapter; train another kind, or drop the requirement"),
    Entry("engine_warning", "validate", _W, "a serving engine would not take it, or not as it was trained; see the engines in the report"),
    Entry("bad_probes", "validate", _S, "correct the file of probes: one JSON object a line, with prompt, and completion or label; then `adapterd retry`"),
    Entry("device_missing", "validate", _S, "this host has none of the devices under validation.devices; name one that is there, then `adapterd retry`"),
    Entry("device_too_small", "validate", _S, "no listed device can ever hold the base model: list a larger one, a device_map or a quantization, or set validation.too_large: structural; then `adapterd retry`"),
    Entry("misplaced", "validate", _S, "adapter and base layers ended on different devices: change base_models[].device_map or max_memory, then `adapterd retry`"),
    Entry("remote_code", "validate", _S, "the base model needs code of its own to load: read it, then set base_models[].trust_remote_code: true, and `adapterd retry`"),
    Entry("conversion_failed", "settle", _R, "the pickle could not be read as plain tensors; save with safe_serialization=True"),
    Entry("conversion_stalled", "settle", _S, "the process that converts pickles died, or did not end within validation.deadline; give it more memory or time, then `adapterd retry DIR`"),
    Entry("unsupported_input", "validate", _S, "adapterd makes texts, sound and pictures; what this base takes is not among them, so that nothing was proved: say so to its makers"),
    # publish
    Entry(
        "policy_changed", "publish", _T, "the configuration changed what a pass means; it is validated again"
    ),
    Entry("hub_unreachable", "publish", _T, "the Hub does not answer; it is tried again with growing pauses"),
    Entry("rate_limited", "publish", _T, "the Hub's rate limit is used up; it goes on when the window opens"),
    Entry("conflict", "publish", _T, "someone else committed meanwhile; it looks again and goes on"),
    Entry("denied", "publish", _S, "the token may not do this; give a token with write access to the namespace, then `adapterd retry`"),
    Entry("token_missing", "publish", _S, "give a token: hub.token_file, a systemd credential hf_token, HF_TOKEN, or `hf auth login`; then `adapterd retry`"),
    Entry("repo_missing", "publish", _S, "create the repo by hand, or set hub.create_repos: true; then `adapterd retry`"),
    Entry("repo_vanished", "publish", _S, "the repo held published versions and is gone; it is never made again by itself. Restore it, then `adapterd retry`; where that cannot be, let the next runs publish under another name (`adapter:` in their adapterd.yaml)"),
    Entry("repo_not_ours", "publish", _S, "the repo holds something that this publisher did not write; `adapterd adopt ADAPTER`, or choose another name"),
    Entry("foreign_file", "publish", _S, "somebody added files to the branch `versions`; remove them there, then `adapterd retry`"),
    Entry("foreign_tag", "publish", _S, "the tag exists and names another commit; remove it, then `adapterd retry`"),
    Entry("tree_differs", "publish", _S, "the commit on the Hub does not hold the bytes that were validated; nothing was tagged"),
    Entry("visibility_differs", "publish", _S, "the repo's visibility is not hub.private; it is never flipped by itself. Change one of them, then `adapterd retry`"),
    Entry("newer_schema", "publish", _S, "a newer adapterd wrote to this repo; upgrade this one"),
    Entry("erased", "publish", _S, "this content was erased on request and is never published again; `adapterd erase` its `@id:` too, to clear it away here"),
    Entry("card_refused", "publish", _S, "the Hub refuses the model card's metadata; correct the labels in adapterd.yaml"),
    Entry("channel_drift", "channel", _S, "the channel's head is not what adapterd put there; see `adapterd channels ADAPTER` and what changed on the Hub; `adapterd promote ADAPTER@vN --to CHANNEL` puts a whole version there, then `adapterd retry ADAPTER`"),
    Entry("channel_held", "channel", _W, "the channel is held, as `adapterd channels ADAPTER` tells; `adapterd release ADAPTER --channel CHANNEL` lets it move again"),
    Entry(
        "superseded", "publish", _W, "a later version of the same run passed first; `checkpoints: all` publishes every one"
    ),
    Entry(
        "attempts_exhausted", "publish", _S, "it failed too often; see `adapterd show`, then `adapterd retry`"
    ),
    Entry("spool_quota", "settle", _T, "spool.max_size is reached; it goes on when published snapshots are tidied away: `adapterd prune`, or raise it"),
    Entry("budget_spent", "publish", _T, "what hub.budget or the Hub's own window allows is used up; it goes on when the window opens"),
    Entry("hub_paused", "publish", _T, "the Hub failed several times in a row; after a pause one version tries it, and the others follow"),
    Entry("version_erased", "channel", _W, "this version was erased on request; its number is never used again"),
    Entry("channel_gated", "channel", _W, "it measures worse than the version that the channel holds, or cannot be compared with it; `adapterd promote` it if you want it all the same, or raise the channel's tolerance. What was measured otherwise is measured anew by re-validation"),
    Entry("channel_soaking", "channel", _T, "another channel must have held it for the channel's soak_for first; it goes on by itself, unless that channel goes elsewhere before"),
    Entry("revalidation_failed", "channel", _W, "published bytes that passed do not pass with today's libraries, base model or policy: see `adapterd show`; no channel takes it by itself until it passes again. Roll back what holds it, or put right what changed"),
    # audit
    Entry("tag_missing", "audit", _W, "a published version's tag is gone from the Hub; put it back on the commit named here, or `adapterd erase` the version"),
    Entry("tag_moved", "audit", _W, "a version's tag names another commit than was published: whoever pins it gets other bytes; move it back"),
    Entry("manifest_differs", "audit", _W, "the manifest under the tag is not about this version, or lists other bytes than lie there"),
    Entry("version_unknown", "audit", _W, "the Hub holds a version that the registry does not know; another publisher's, or from before the registry was lost: `adapterd registry rebuild`"),
    Entry("index_differs", "audit", _W, "the index says something else than Hub and registry; the next export writes it anew"),
    Entry("standing_differs", "audit", _W, "holds, yanks or erasures on the Hub are not what the registry last saw; they are read anew at the next publish"),
    Entry("snapshot_missing", "audit", _W, "a version that is not published has no whole snapshot in the spool: `adapterd sync DIR` takes it anew"),
    Entry("erasure_unfinished", "audit", _W, "the version is erased by its tombstone, and its tag is still there: `adapterd erase` it again"),
    Entry("audit_log_broken", "audit", _W, "a line of audit.jsonl was changed, removed or put in; compare it with a copy that is kept elsewhere"),
    # anywhere
    Entry("system_refused", "any", _T, "the operating system refused: a full or failing disk, or too few handles; it is tried again with growing pauses"),
    Entry("bug", "any", _S, "this is a fault of adapterd; report it with the log, then `adapterd retry`"),
)
# fmt: on

BY_CODE = {entry.code: entry for entry in TABLE}

WAIVABLE = frozenset(
    {
        "absurd_values",
        "effect_too_large",
        "engine_refuses",
        "gate_refused",
        "loss_too_high",
        "loss_unlike_expected",
        "no_effect",
        "output_non_finite",
        "partial_rows",
        "tokens_out_of_range",
        "zeroed_pages",
    }
)
"""What a person may set aside for one version: judgements. Integrity, pickles and the wrong base never are."""


def reason(code: str, message: str, hint: str = "") -> Reason:
    """A reason of the table, with its hint unless a better one is given. KeyError for an unknown code is a bug."""
    return Reason(code, message, hint or BY_CODE[code].hint)


def page() -> str:
    """The reference page, in Markdown."""
    lines = [
        "# Reasons",
        "",
        "Why a directory waits, a version stalls or was rejected. Codes are stable for ever. Generated from",
        "`core/reasons.py`.",
        "",
        "| code | step | what it does | what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{e.code}` | {e.where} | {e.severity} | {e.hint} |" for e in TABLE]
    waivable = ", ".join(f"`{code}`" for code in sorted(WAIVABLE))
    lines += ["", f"`adapterd waive` sets these aside for one version: {waivable}.", "The others are never waived."]
    return "\n".join([*lines, ""])
