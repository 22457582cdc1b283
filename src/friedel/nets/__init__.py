"""Networks: weights with their cards, and inference by onnxruntime."""
