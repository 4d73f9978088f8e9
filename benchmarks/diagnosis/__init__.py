"""Faults injected into real trainings, each beside its healthy twin: does a diagnosis name what was done?"""
