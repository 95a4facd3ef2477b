"""Virtual time, hosts, network and disks for the shipping actors.

Begin with `world`.
"""
