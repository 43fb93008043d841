"""Keeps a database equal to Teamwork and Missive, by polling alone."""
