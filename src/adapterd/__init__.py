"""adapterd: from a training folder to a versioned, validated Hugging Face Hub repo."""
