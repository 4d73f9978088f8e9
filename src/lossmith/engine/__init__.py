"""How a formula becomes fast: it takes plain functions and arrays, and knows nothing of losses."""
