"""The highest load that meets an objective, found on a real server step by step."""
