"""Conformance suites for what a third party can add: a class of tests for each kind of plugin.

They need pytest (the extra ``test``). Inherit the class and give its fixture.
"""
