"""How results come to be and stay true: cells, their inputs, their run records, their comparison."""
