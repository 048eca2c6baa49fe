"""What is handed over of a finished run: tables, charts, a model card, and a zip with all of it."""
