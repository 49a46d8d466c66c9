"""Training beside a live teacher: views made, heard and answered in batches, on a processor or an accelerator."""
