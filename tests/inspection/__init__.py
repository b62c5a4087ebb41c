"""Every answer is rendered and read; nothing is installed."""
