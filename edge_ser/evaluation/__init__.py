"""How good a model is, said honestly: metrics, intervals and pictures."""
