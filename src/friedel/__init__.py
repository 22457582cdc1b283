"""friedel: which phases are where in this sample, and how sure are we?"""
