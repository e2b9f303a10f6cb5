"""Trained models in files of their own: written by a run, read without pickle, asked for predictions."""
