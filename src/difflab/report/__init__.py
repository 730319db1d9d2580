"""From run folders to an answer: which choice was better, and is the difference real?"""
