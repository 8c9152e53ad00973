"""Adapters: one module per port and technology. Built only by `wiring`, never imported by steps."""
