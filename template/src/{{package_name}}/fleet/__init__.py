"""The replicas of this service as one: what they tell each other through Redis."""
