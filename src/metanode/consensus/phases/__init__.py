"""What a core does in each phase of a height: plain functions of one `Core`, each file below those that call it.

joining > releasing > accepting > rounds | voting > deciding > proposing > forking | past > signing | timers | witnessing
"""
