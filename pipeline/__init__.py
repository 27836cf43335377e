"""The stages of a catalogue run as plain workers over audio and Parquet; nothing here knows of Ray."""
