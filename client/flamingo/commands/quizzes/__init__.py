"""`flamingo bench quiz`: its lines, their figures, and temperatures that are fitted to them."""
