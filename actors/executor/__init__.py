"""Where users' objects live: in child processes of a node, or in the node itself.

Process side: `hosted_object` is one object, `hosted_objects` all of a process, `process` its main loop;
`hook_events` and `hook_threads` run leader hooks. Node side: `actor` starts the processes and watches them,
`channel` is the line to one, and `watchdog` decides what becomes of a slow one. Begin with `hosted_object`.
"""
