"""Hooks: what is done and watched beside the training steps, one file each."""
