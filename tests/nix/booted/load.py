"""Inside the machine: asks the service all the time, until SIGTERM, and writes what was not answered.

Usage: load.py RESULT HASH... Half of the askers make a connection for each request; the others keep theirs, as Nix
does, until they are told that it was the last answer.
"""

import http.client
import json
import pathlib
import signal
import sys
import threading

result, hashes = pathlib.Path(sys.argv[1]), sys.argv[2:]
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
answered, failed = [0], []


def ask(index):
    connection = None
    count = index
    while not over.is_set():
        count += 1
        path = f"/{hashes[count % len(hashes)]}.narinfo"
        kept = connection is not None and index % 2
        if not kept:
            connection = http.client.HTTPConnection("127.0.0.1", 8419, timeout=20)
        try:
            connection.request("GET", path, headers={} if index % 2 else {"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or not body.startswith(b"StorePath: "):
                failed.append(f"{path}: {answer.status} {answer.headers.get('Countersign-Reason')}")
            if answer.will_close:
                connection.close()
                connection = None
            answered[0] += 1
        except (OSError, http.client.HTTPException) as error:
            failed.append(f"{path}: {'kept' if kept else 'new'} connection: {error!r}")
            connection = None
        pathlib.Path(f"{result}.begun").touch()


askers = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
for asker in askers:
    asker.start()
for asker in askers:
    asker.join()
aside = result.with_suffix(".new")
aside.write_text(json.dumps({"answered": answered[0], "failed": failed[:20]}))
aside.rename(result)
