"""Projects live on: answers change, improvements arrive, edits survive."""
