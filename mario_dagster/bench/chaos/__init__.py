"""Whether anything is lost: episodes played while servers are killed, disks fill up and processes change hands.

In: numbers of episodes and kills, a seed. Out: what became of the episodes, beside the same ones left alone. Real
servers on real homes; what is drawn at random is drawn from the seed, what the machine adds is when things happen.
"""
