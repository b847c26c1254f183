"""What several workflows ask of the machine they run on, and how they tell it."""
