"""The unit for systemd that `fleet config init --systemd` prints."""

UNIT = """\
# /etc/systemd/system/fleet@.service: fleet@n1 runs the node of /etc/fleet/n1.toml
[Unit]
Description=fleet node %i
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={command} start --config /etc/fleet/%i.toml
User=fleet
# /var/lib/fleet, for data_dir and as the directory where modules of data classes are found
StateDirectory=fleet
StateDirectoryMode=0700
WorkingDirectory=/var/lib/fleet
Environment=FLEET_LOG_LEVEL=info

Restart=on-failure
RestartSec=2
# 2 is a mistake in the settings, which starting again does not mend
RestartPreventExitStatus=2
TimeoutStartSec=10min
WatchdogSec=30
# the node alone is told to stop, and ends its executors
KillMode=mixed
TimeoutStopSec=30
# an executor that runs out of memory is started again by its node
OOMPolicy=continue
LimitNOFILE=65536

NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def unit(command: str) -> str:
    """`command`: the absolute path of the `fleet` command."""
    return UNIT.format(command=command)
