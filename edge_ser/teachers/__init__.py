"""Teachers: large encoders, their heads, and the targets that they give to a student."""
