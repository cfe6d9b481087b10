"""What the embedded Hub keeps on disk: git objects, refs, LFS objects and the list of repos."""
