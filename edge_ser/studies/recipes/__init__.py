"""One module a study, found by `edge_ser.studies.registry`; `edge_ser.studies` says how one is written."""
