"""What the embedded Hub says over HTTP: routes, permissions, errors."""
