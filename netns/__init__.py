"""Kernel networking shaped from a plan, and a lab of many hosts on one machine."""
