"""Audio in and out: decoding, vocal activity, remixing, and the vocals' own files."""
