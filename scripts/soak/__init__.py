"""`make soak`: does a server that rooms come and go in stay as it was?"""
