"""The bank: generated items on disk. Plans, runs that fill them, the gate, and the upkeep of what is there."""

from gtimm.core.bank.plan import Allow, Bank, Plan

__all__ = ["Allow", "Bank", "Plan"]
