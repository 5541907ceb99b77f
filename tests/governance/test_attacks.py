"""Attacks by SQL and by races on sheets, targets and signatures."""
