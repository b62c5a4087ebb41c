"""What the platform and the operators may ask about this process and what it depends on."""
