"""Find, align and crop faces: MTCNN in JAX, similarity transforms, and a cache of what was found."""
