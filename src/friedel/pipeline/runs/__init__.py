"""Run folders: their life, their files, and their contents in other forms."""
