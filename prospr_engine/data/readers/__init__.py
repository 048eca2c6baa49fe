"""Where image files come from: folders, archives."""
