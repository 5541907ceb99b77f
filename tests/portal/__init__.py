"""Tests of the roof: pages, sign-in, charts."""
