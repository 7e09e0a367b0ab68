"""What the browser gets: templates, style sheet, scripts, and how they are loaded."""
