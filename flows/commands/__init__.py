"""The commands of `genflows`, by theme. What is heavy is imported inside them: `genflows --help` answers at once."""
