/* driver.c: the text of the drivers. */
#include "verify/driver.h"

/* The names that LiveCodeBench imports for every submission, both whole and by their contents. */
#define IMPORTS                                                                      \
    "def surround(module):\n"                                                        \
    "    space = module.__dict__\n"                                                  \
    "    names = ('string re datetime collections heapq bisect copy math random '\n" \
    "             'statistics itertools functools operator io sys json').split()\n"  \
    "    for name in names + ['builtins', 'typing']:\n"                              \
    "        exec('from %s import *' % name, space)\n"                               \
    "    for name in names:\n"                                                       \
    "        exec('import ' + name, space)\n"                                        \
    "    sys.setrecursionlimit(50000)\n"                                             \
    "\n"                                                                             \
    "def run(name):\n"                                                               \
    "    module = sys.modules[name] = types.ModuleType(name)\n"                      \
    "    surround(module)\n"                                                         \
    "    module.__name__ = name\n"                                                   \
    "    with open('main.py', encoding='utf-8') as f:\n"                             \
    "        source = f.read()\n"                                                    \
    "    exec(compile(source, 'main.py', 'exec'), module.__dict__)\n"                \
    "    return module, source\n"                                                    \
    "\n"

const char r1_driver_program[] = "import sys, types\n"
                                 "\n" IMPORTS "try:\n"
                                 "    run('__main__')\n"
                                 "except SystemExit:\n"
                                 "    pass\n";

const char r1_driver_function[] =
    "import json, os, sys, types\n"
    "\n" IMPORTS "result = os.fdopen(os.dup(1), 'w')\n"
    "os.dup2(2, 1)\n"
    "arguments = [json.loads(line) for line in sys.stdin.read().split('\\n') if line.strip()]\n"
    "module, source = run('solution')\n"
    "owner = module.Solution() if 'class Solution' in source else module\n"
    "json.dump(getattr(owner, sys.argv[1])(*arguments), result)\n"
    "result.flush()\n";

const char r1_driver_asserts[] =
    "import ast, ctypes, json, math, os, sys, types\n"
    "\n"
    "PLAIN = (bool, int, str, bytes, complex, type(None))\n"
    "\n"
    "def literal(v):\n"
    "    kind = type(v)\n"
    "    if kind is float:\n"
    "        if math.isnan(v):\n"
    "            raise TypeError('nan has no literal')\n"
    "        return repr(v).replace('inf', '1e999')\n"
    "    if kind in PLAIN:\n"
    "        return repr(v)\n"
    "    if kind is list:\n"
    "        return '[' + ','.join(map(literal, v)) + ']'\n"
    "    if kind is tuple:\n"
    "        return '(' + ''.join(literal(x) + ',' for x in v) + ')'\n"
    "    if kind in (set, frozenset):\n"
    "        return '{' + ','.join(map(literal, v)) + '}' if v else 'set()'\n"
    "    if isinstance(v, dict):\n"
    "        return '{' + ','.join(literal(k) + ':' + literal(x) for k, x in v.items()) + '}'\n"
    "    for base in (bool, int, float, str, list, tuple):\n"
    "        if isinstance(v, base):\n"
    "            return literal(base(v))\n"
    "    if hasattr(v, '__iter__') and hasattr(v, '__next__'):\n"
    "        return literal(list(v))\n"
    "    raise TypeError('%s has no literal' % kind.__name__)\n"
    "\n"
    "def module(name, source, where):\n"
    "    m = sys.modules[name] = types.ModuleType(name)\n"
    "    exec(compile(source, where, 'exec'), m.__dict__)\n"
    "    return m\n"
    "\n"
    "def serve(asked, said):\n"
    "    null = os.open(os.devnull, os.O_RDWR)\n"
    "    os.dup2(null, 0)\n"
    "    os.dup2(null, 1)\n"
    "    with open('main.py', encoding='utf-8') as f:\n"
    "        function = getattr(module('__main__', f.read(), 'main.py'), sys.argv[1])\n"
    "    for line in asked:\n"
    "        positional, named = ast.literal_eval(line)\n"
    "        try:\n"
    "            answer = '=' + literal(function(*positional, **named))\n"
    "        except Exception as e:\n"
    "            answer = '!' + repr('%s: %s' % (type(e).__name__, e))\n"
    "        said.write(answer + '\\n')\n"
    "        said.flush()\n"
    "\n"
    "# Nobody looks into this process, the parent, through /proc.\n"
    "if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) != 0:\n"
    "    sys.exit('prctl failed')\n"
    "ask_end, ask = os.pipe()\n"
    "say, say_end = os.pipe()\n"
    "if os.fork() == 0:\n"
    "    os.close(ask)\n"
    "    os.close(say)\n"
    "    serve(os.fdopen(ask_end, 'r', encoding='utf-8'),\n"
    "          os.fdopen(say_end, 'w', encoding='utf-8'))\n"
    "    sys.exit(0)\n"
    "os.close(ask_end)\n"
    "os.close(say_end)\n"
    "ask = os.fdopen(ask, 'w', encoding='utf-8')\n"
    "say = os.fdopen(say, 'r', encoding='utf-8')\n"
    "\n"
    "def candidate(*positional, **named):\n"
    "    ask.write(literal((positional, named)) + '\\n')\n"
    "    ask.flush()\n"
    "    line = say.readline()\n"
    "    if not line:\n"
    "        raise RuntimeError('the submission has ended')\n"
    "    value = ast.literal_eval(line[1:])\n"
    "    if line[0] != '=':\n"
    "        raise RuntimeError(value)\n"
    "    return value\n"
    "\n"
    "texts = json.load(sys.stdin)\n"
    "m = types.ModuleType('tests')\n"
    "try: # its helpers; a stub that is no whole program has none\n"
    "    exec(compile(texts['prelude'], 'prelude', 'exec'), m.__dict__)\n"
    "except SyntaxError:\n"
    "    pass\n"
    "m.__dict__[sys.argv[1]] = candidate\n"
    "try:\n"
    "    exec(compile(texts['asserts'], 'asserts', 'exec'), m.__dict__)\n"
    "    m.check(candidate)\n"
    "except AssertionError as e:\n"
    "    sys.stderr.write('an assertion failed: %s\\n' % e)\n"
    "    sys.exit(3)\n";
