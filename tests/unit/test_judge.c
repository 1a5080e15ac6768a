/* test_judge.c: verdicts of programs good, wrong and hostile, in every language and form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "base/os.h"
#include "verify/judge.h"
#include "verify/procs.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MB       ((int64_t)1 << 20)

static r1_judge *judge; /* NULL: this machine has no user namespaces */

static int open_judge(void **state)
{
    (void)state;
    r1_err err = {0};
    if (r1_judge_open(&(r1_judge_config){.slots = 4}, &judge, &err) != R1_OK)
        printf("SKIP: %s\n", err.msg);
    return 0;
}

static int close_judge(void **state)
{
    (void)state;
    r1_judge_close(judge);
    return 0;
}

/* a + b, four times. */
#define TEST(in, out)                            \
    {                                            \
        in, sizeof(in) - 1, out, sizeof(out) - 1 \
    }
static const r1_judge_test sums[] = {TEST("1 2\n", "3\n"), TEST("-5 5\n", "0\n"),
                                     TEST("1000000 1\n", "1000001\n"), TEST("7 8\n", "15\n")};
static const r1_judge_problem sum = {.tests = sums,
                                     .n_tests = COUNT(sums),
                                     .checker = {.kind = R1_CHECKER_TOKENS},
                                     .time_limit = 0.5,
                                     .memory_limit = 64 * MB};

typedef struct {
    const char *language, *source;
    const char *verdicts; /* "RE|MLE": each may be */
} program;

static void expect(const r1_judge_problem *p, const program *programs, int n)
{
    if (!judge)
        skip();
    r1_judge_submission *s = calloc((size_t)n, sizeof *s);
    r1_judge_result *r = calloc((size_t)n, sizeof *r);
    for (int i = 0; i < n; i++)
        s[i] = (r1_judge_submission){.problem = p,
                                     .language = programs[i].language,
                                     .source = programs[i].source,
                                     .source_len = strlen(programs[i].source)};
    r1_judge_run_many(judge, s, n, r, NULL, NULL);
    for (int i = 0; i < n; i++) {
        const char *name = r1_judge_verdict_name(r[i].verdict);
        const char *at = strstr(programs[i].verdicts, name);
        if (!at || strstr(r[i].output, "ESCAPE"))
            fail_msg("%s instead of %s, test %d, stdout '%s', message '%s', of\n%s", name,
                     programs[i].verdicts, r[i].test, r[i].output, r[i].message,
                     programs[i].source);
    }
    free(s);
    free(r);
    r1_procs left;
    r1_procs_find(getpid(), &left);
    assert_int_equal(left.n, 0);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const program programs[] = {
        {"python", "print(sum(map(int, input().split())))", "AC"},
        {"py", "import sys\nprint(eval('+'.join(sys.stdin.read().split())))", "AC"},
        {"python3", "a, b = map(int, open('/dev/stdin').read().split())\nprint(a + b)", "AC"},
        {"python3", "a, b = map(int, open(0).read().split())\nprint(a + b)", "AC"},
        {"c",
         "#include <stdio.h>\nint main(void){long a,b;scanf(\"%ld%ld\",&a,&b);"
         "printf(\"%ld\",a+b);return 0;}",
         "AC"},
        {"cpp", "#include <iostream>\nint main(){long a,b;std::cin>>a>>b;std::cout<<a+b;}",
         "AC"},
        {"python", "print(3)", "WA"},
        {"python", "", "WA"},
        {"python", "a, b = map(int, input().split())\nprint(a + b, a + b)", "WA"},
        {"python", "print(sum(map(int, input().split())))\nraise SystemExit(1)", "RE"},
        {"python", "def", "RE"},
        {"python", "while True: pass", "TLE"},
        {"python", "import time; time.sleep(100)", "TLE"},
        {"python", "x = bytearray(500 << 20); print(len(x))", "MLE|RE"},
        {"python", "while True: print('y' * 1000000)", "OLE"},
        {"python", "import sys\nwhile True: sys.stderr.write('y' * 1000000)", "OLE"},
        {"c", "int main(void){*(volatile int*)0=1;}", "RE"},
        {"c", "int main(void){__builtin_trap();}", "RE"},
        {"c", "#include <stdlib.h>\nint main(void){abort();}", "RE"},
        {"c",
         "#include <stdlib.h>\n#include <string.h>\n#include <stdio.h>\n"
         "int main(void){for(;;){char*p=malloc(1<<20);if(!p)return 1;memset(p,1,1<<20);}}",
         "MLE|RE"},
        {"c", "int main(void){return x;}", "CE"},
        {"c++", "int main(){return \"a\";}", "CE"},
        {"c", "", "CE"},
        {"fortran", "print *, 1", "CE"},
    };
    expect(&sum, programs, COUNT(programs));
}

static void test_hostile_python(void **state)
{
    (void)state;
    static const program programs[] = {
        {"python", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
         "TLE|MLE|RE"},
        {"python",
         "import os,time\nn=0\ntry:\n    for i in range(300):\n        if os.fork()==0:\n"
         "            time.sleep(60); os._exit(0)\n        n+=1\nexcept OSError: os._exit(3)\n"
         "print('ESCAPE', n)",
         "RE|MLE"},
        {"python",
         "import os,time\nif os.fork()==0:\n    os.setsid()\n    time.sleep(60)\n"
         "print('done')",
         "WA"},
        {"python",
         "import signal,time\nfor s in range(1,65):\n    try: signal.signal(s, "
         "signal.SIG_IGN)\n    except Exception: pass\nwhile True: pass",
         "TLE"},
        {"python", "import os\nos._exit(0)", "WA"},
        {"python", "import sys\nsys.exit(0)", "WA"},
        {"python",
         "import os\nfor fd in range(1,256):\n    try: os.write(fd, b'3\\nAC\\n')\n"
         "    except OSError: pass",
         "WA"},
        {"python", "import os\nos.kill(os.getppid(), 9)\nprint('x')", "WA|RE"},
        {"python", "import os\nos.kill(-1, 9)", "WA|RE"},
        {"python",
         "import socket\nfor kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
         "    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n"
         "        try: socket.socket(family, kind); print('ESCAPE')\n"
         "        except OSError: pass\nraise SystemExit(3)",
         "RE"},
        {"python",
         "import os\nhit=[p for p in ('/etc/passwd','/home','/root','/proc/1/environ',"
         "'/proc/1/mem','/sys','/var') if os.access(p, os.R_OK)]\n"
         "print('ESCAPE' if hit else 'none', hit)",
         "WA"},
        {"python",
         "import os\nhit=[]\nfor d,s,f in os.walk('/proc'):\n    for x in f:\n"
         "        if x in ('environ','cmdline'):\n            try: t=open(d+'/'+x,'rb').read()\n"
         "            except OSError: continue\n"
         "            if b'unit_' in t or b'HOME=/box' not in t and x=='environ' and t: "
         "hit.append(d)\n"
         "print('ESCAPE' if hit else 'none', hit)",
         "WA"},
        {"python",
         "import os\nhit=[]\nfor p in ('/usr/x','/etc/x','/lib/x','/dev/x','/x','/proc/x'):\n"
         "    try: open(p,'w').close(); hit.append(p)\n    except OSError: pass\n"
         "print('ESCAPE' if hit else 'none', hit)",
         "WA"},
        {"python",
         "import ctypes,os\nl=ctypes.CDLL(None,use_errno=True)\nhit=[]\n"
         "for nr in (101,310,311,321,425,426,427,246,248,249,250,175,313,155,165,166,161,272,308,"
         "298,323,304,303,319,447,29,30,68,64,438,440):\n"
         "    r=l.syscall(nr,-1,0,0,0,0,0)\n"
         "    if r>=0 or ctypes.get_errno() not in (1,38): hit.append((nr,r,ctypes.get_errno()))\n"
         "print('ESCAPE' if hit and os.uname().machine=='x86_64' else 'none', hit)",
         "WA"},
        {"python",
         "import resource as r\nhit=[]\nfor k in (r.RLIMIT_AS,r.RLIMIT_CPU,r.RLIMIT_FSIZE,"
         "r.RLIMIT_NPROC,r.RLIMIT_STACK,r.RLIMIT_NOFILE,r.RLIMIT_CORE):\n"
         "    try: r.setrlimit(k,(-1,-1)); hit.append(k)\n    except (ValueError,OSError): pass\n"
         "print('ESCAPE' if hit else 'none', hit)",
         "WA"},
        {"python", "print('9' * 20000000)", "WA|OLE"},
        {"python", "import sys\nsys.stdout.buffer.write(b'\\0\\x08\\x1b[2K\\xff3')", "WA"},
    };
    expect(&sum, programs, COUNT(programs));
}

static void test_hostile_c(void **state)
{
    (void)state;
    static const program programs[] = {
        {"c",
         "#define _GNU_SOURCE\n#include <sched.h>\n#include <stdio.h>\n#include <unistd.h>\n"
         "#include <sys/syscall.h>\n"
         "int main(void){int h=0;int f[]={0x10000000,0x20000,0x20000000,0x40000000,0x8000000,"
         "0x4000000,0x2000000};for(int i=0;i<7;i++){if(!unshare(f[i]))h=1;"
         "long p=syscall(SYS_clone,f[i]|17,0,0,0,0);if(p>=0)h=2;if(!p)_exit(0);}"
         "puts(h?\"ESCAPE\":\"none\");}",
         "WA"},
        {"c",
         "#define _GNU_SOURCE\n#include <sys/mman.h>\n#include <string.h>\n#include <stdio.h>\n"
         "int main(void){for(int i=0;i<20;i++){char*p=mmap(0,16<<20,3,0x21,-1,0);"
         "if(p==MAP_FAILED)return 1;memset(p,1,16<<20);}puts(\"ESCAPE\");}",
         "MLE|RE"},
        {"c",
         "#define _GNU_SOURCE\n#include <sys/mman.h>\n#include <unistd.h>\n#include <stdio.h>\n"
         "int main(void){int f=memfd_create(\"x\",0);if(f<0)return 3;"
         "puts(\"ESCAPE\");}",
         "RE"},
        {"c",
         "#include <sys/resource.h>\n#include <sched.h>\n#include <stdio.h>\n"
         "int main(void){struct sched_param p={1};int h=!setpriority(0,0,-5)||"
         "!sched_setscheduler(0,SCHED_FIFO,&p);puts(h?\"ESCAPE\":\"none\");}",
         "WA"},
        {"c",
         "#include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n"
         "#include <stdio.h>\nint main(void){"
         "puts(prctl(PR_SET_NO_NEW_PRIVS,0,0,0,0)==0||prctl(PR_GET_SECCOMP)!=2||"
         "syscall(SYS_prctl,PR_SET_SECCOMP,0,0,0,0)==0?\"ESCAPE\":\"none\");}",
         "WA|RE"},
        /* The x32 and i386 ways into the kernel are no way around the filter. */
        {"c",
         "#include <stdio.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
         "int main(void){if(syscall(SYS_getpid|0x40000000)>0)puts(\"ESCAPE\");return 3;}",
         "RE"},
        {"c", "int main(void){for(;;);}", "TLE"},
        {"c", "#include <unistd.h>\nint main(void){for(;;)fork();}", "TLE|MLE|RE"},
        {"c",
         "int f(int n){volatile char a[10000];a[0]=n;return f(n+1)+a[0];}"
         "int main(void){return f(0);}",
         "RE|MLE"},
        {"c",
         "__asm__(\".section .rodata\\n.globl b\\nb: .incbin \\\"/etc/hostname\\\"\\n.byte "
         "0\\n.text\");extern char b[];\n#include <stdio.h>\nint main(void){printf(\"ESCAPE "
         "%s\",b);}",
         "CE"},
        {"c", "#include \"/etc/passwd\"\nint main(void){}", "CE"},
        {"c", "#include \"/proc/1/environ\"\nint main(void){}", "CE"},
        {"c", "#include \"/dev/zero\"\nint main(void){}", "CE"},
        {"c", "int a[1<<28]={1};int main(void){return a[5];}", "CE"},
        {"c", "#include __FILE__\nint main(void){}", "CE"},
        {"c++", "template<int n>struct A{A<n+1>a;};A<0>a;int main(){}", "CE"},
    };
    expect(&sum, programs, COUNT(programs));
}

/* ---- What the result tells --------------------------------------------------------------- */

static void test_result(void **state)
{
    (void)state;
    if (!judge)
        skip();
    const char *half = "a, b = map(int, input().split())\n"
                       "import sys; sys.stderr.write('note')\n"
                       "print(a + b if a < 1000 else 'high')";
    r1_judge_submission s = {&sum, "python", half, strlen(half)};
    r1_judge_result r;
    for (int i = 0; i < 5; i++) { /* the same, whatever runs first */
        r1_judge_run(judge, &s, &r);
        assert_int_equal(r.verdict, R1_JUDGE_WA);
        assert_int_equal(r.test, 2);
        assert_int_equal(r.passed, 2);
        assert_string_equal(r.output, "high");
        assert_string_equal(r.message, "note");
        assert_true(r.cpu > 0 && r.wall > 0 && r.memory > 0);
    }
    r1_judge_problem empty = sum;
    empty.n_tests = 0;
    s.problem = &empty;
    r1_judge_run(judge, &s, &r);
    assert_int_equal(r.verdict, R1_JUDGE_XX);
    assert_non_null(strstr(r.message, "no tests"));
    s = (r1_judge_submission){&sum, "c", "int main(void){return undeclared;}", 34};
    r1_judge_run(judge, &s, &r);
    assert_int_equal(r.verdict, R1_JUDGE_CE);
    assert_non_null(strstr(r.message, "undeclared"));
}

static void *run_ten(void *ud)
{
    const char *right = "print(sum(map(int, input().split())))", *wrong = "print(15)";
    intptr_t bad = 0;
    (void)ud;
    for (int i = 0; i < 10; i++) {
        const char *source = i % 2 ? wrong : right;
        r1_judge_submission s = {&sum, "python", source, strlen(source)};
        r1_judge_result r;
        r1_judge_run(judge, &s, &r);
        bad += r.verdict != (i % 2 ? R1_JUDGE_WA : R1_JUDGE_AC);
    }
    return (void *)bad;
}

static void test_callers(void **state)
{
    (void)state;
    if (!judge)
        skip();
    pthread_t threads[6];
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, run_ten, NULL);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

/* ---- Checkers of the problem's own ------------------------------------------------------- */

static void test_custom(void **state)
{
    (void)state;
    /* Any number above the sum, by a program that reads all three files. */
    static const char above[] =
        "import sys\ni, o, e = (open(p).read().split() for p in sys.argv[1:4])\n"
        "assert int(i[0]) + int(i[1]) == int(e[0])\n"
        "sys.exit(0 if o and int(o[0]) > int(e[0]) else 1)";
    static const char above_c[] =
        "#include <stdio.h>\nint main(int n,char**v){long a,b;FILE*o=fopen(v[2],\"r\"),"
        "*e=fopen(v[3],\"r\");if(fscanf(o,\"%ld\",&a)!=1)return 2;fscanf(e,\"%ld\",&b);"
        "return a>b?0:1;}";
    static const char scoring[] =
        "import sys\ni, e, o = (open(p).read().split() for p in sys.argv[1:4])\n"
        "print(1 if o and int(o[0]) > int(e[0]) else 0)";
    static const program programs[] = {
        {"python", "print(sum(map(int, input().split())) + 1)", "AC"},
        {"python", "print(sum(map(int, input().split())))", "WA"},
        {"python", "pass", "WA"},
        {"python", "print(10 ** 9)\nraise SystemExit(1)", "RE"},
    };
    r1_judge_problem p = sum;
    p.checker.kind = R1_CHECKER_CUSTOM;
    p.checker_source = above;
    p.checker_language = "python";
    expect(&p, programs, COUNT(programs));
    p.checker_source = above_c;
    p.checker_language = "c";
    expect(&p, programs, COUNT(programs));
    p.checker_source = scoring;
    p.checker_language = "python";
    p.checker_scores = true;
    expect(&p, programs, COUNT(programs));
    /* A checker that fails says nothing about the program. */
    static const program good[] = {{"python", "print(1)", "XX"}};
    p.checker_scores = false;
    p.checker_source = "raise SystemExit(3)";
    expect(&p, good, 1);
    p.checker_source = "int main(void){";
    p.checker_language = "c";
    expect(&p, good, 1);
}

/* ---- LiveCodeBench and HumanEval --------------------------------------------------------- */

static void test_lcb(void **state)
{
    (void)state;
    r1_judge_problem p = sum;
    p.form = R1_JUDGE_LCB;
    p.checker.kind = R1_CHECKER_LCB;
    static const program programs[] = {
        {"python", "print(sum(map(int, input().split())))", "AC"},
        {"python", "print('%d.00' % sum(map(int, input().split())))", "AC"},
        {"python", "print(reduce(add, map(int, stdin.read().split())))",
         "AC"}, /* the imports */
        {"python",
         "def main():\n    print(sum(map(int, input().split())))\n    exit(0)\n"
         "if __name__ == '__main__':\n    main()",
         "AC"},
        {"python", "print(sum(map(int, input().split())))\nsys.exit(1)", "AC"},
        {"python", "print(sum(map(int, input().split())), end='\\n\\n')", "AC"},
        {"python", "print(sum(map(int, input().split())) + 1e-9)", "WA"},
        {"python", "print(3)", "WA"},
        {"python", "exit(0)", "WA"},
        {"python", "raise ValueError", "RE"},
        {"c", "int main(void){}", "CE"},
    };
    expect(&p, programs, COUNT(programs));
}

static void test_function(void **state)
{
    (void)state;
    static const r1_judge_test tests[] = {TEST("[1, 2, 3]\n1", "[2, 3, 4]"),
                                          TEST("[]\n5", "[]"), TEST("[0.5]\n1", "[1.5]")};
    r1_judge_problem p = {.form = R1_JUDGE_FUNCTION,
                          .entry = "shift",
                          .tests = tests,
                          .n_tests = COUNT(tests),
                          .checker = {.kind = R1_CHECKER_JSON},
                          .time_limit = 1};
    static const program programs[] = {
        {"python",
         "class Solution:\n    def shift(self, a: List[int], k: int) -> List[int]:\n"
         "        print('noise')\n        return [x + k for x in a]",
         "AC"},
        {"python", "def shift(a, k):\n    return tuple(x + k for x in a)", "AC"},
        {"python", "class Solution:\n    def shift(self, a, k):\n        return a", "WA"},
        {"python", "class Solution:\n    def shift(self, a, k):\n        print([2, 3, 4])",
         "WA"},
        {"python", "class Solution:\n    def shift(self, a, k):\n        exit(0)", "WA"},
        {"python", "class Solution:\n    def other(self, a, k):\n        return a", "RE"},
        {"python",
         "class Any(list):\n    def __eq__(self, o): return True\n"
         "class Solution:\n    def shift(self, a, k): return Any()",
         "WA"},
        {"python",
         "import json\njson.dump = lambda *a: None\n"
         "def shift(a, k): return [x + k for x in a]",
         "WA"},
    };
    expect(&p, programs, COUNT(programs));
}

static void test_asserts(void **state)
{
    (void)state;
    r1_judge_problem p = {
        .form = R1_JUDGE_ASSERTS,
        .entry = "pairs",
        .prelude = "from typing import List\n\ndef twice(x):\n    return 2 * x\n\n"
                   "def pairs(a: List[int]):\n    \"\"\"Neighbours, as tuples.\"\"\"\n",
        .asserts = "SECRET = 'S3CR3T'\ndef check(candidate):\n"
                   "    assert candidate([1, 2, 3]) == [(1, 2), (2, 3)]\n"
                   "    assert candidate([]) == []\n"
                   "    assert candidate([0.5, float('inf')]) == [(0.5, float('inf'))]\n"
                   "    assert candidate(['a\\n', None]) == [('a\\n', None)], SECRET\n"
                   "    assert twice(2) == 4\n",
        .n_tests = 1,
        .time_limit = 3};
    static const program programs[] = {
        {"python", "    return list(zip(a, a[1:]))\n", "AC"},
        {"python", "def pairs(a):\n    print('noise')\n    return [*zip(a, a[1:])]", "AC"},
        {"python", "    return []\n", "WA"},
        {"python", "    return [list(p) for p in zip(a, a[1:])]\n", "WA"},
        {"python", "    raise ValueError\n", "RE"},
        {"python", "    import os; os._exit(0)\n", "RE"},
        {"python", "    exit(0)\n", "RE"},
        {"python", "    return\n\nimport os\nos._exit(0)\n", "RE"},
        {"python",
         "    return\n\nimport atexit, os\natexit.register(lambda: os._exit(0))\n1/0\n", "RE"},
        {"python",
         "    class Any(list):\n        def __eq__(self, o): return True\n"
         "        def __getitem__(self, i): return Any()\n    return Any()\n",
         "WA"},
        {"python", "    import builtins\n    builtins.check = lambda c: None\n    return []\n",
         "WA"},
        {"python", "    import os\n    os.kill(os.getppid(), 9)\n", "RE"},
        {"python", "    while True: pass\n", "TLE"},
        /* Neither frames nor the collector nor /proc hold the assertions. */
        {"python",
         "    import gc, os, sys\n    f = sys._getframe(); hit = []\n    while f:\n"
         "        hit += [k for k in f.f_globals if k in ('SECRET', 'check', 'texts')]\n"
         "        f = f.f_back\n"
         "    hit += [o for o in gc.get_objects() if isinstance(o, dict) and 'SECRET' in o]\n"
         "    for p in ('/proc/%d/mem', '/proc/%d/fd/0', '/proc/%d/environ'):\n"
         "        try: hit.append(open(p % os.getppid(), 'rb'))\n        except OSError: pass\n"
         "    return list(zip(a, a[1:])) if hit else []\n",
         "WA"},
    };
    expect(&p, programs, COUNT(programs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),  cmocka_unit_test(test_hostile_python),
        cmocka_unit_test(test_hostile_c), cmocka_unit_test(test_result),
        cmocka_unit_test(test_callers),   cmocka_unit_test(test_custom),
        cmocka_unit_test(test_lcb),       cmocka_unit_test(test_function),
        cmocka_unit_test(test_asserts),
    };
    return cmocka_run_group_tests(tests, open_judge, close_judge);
}
