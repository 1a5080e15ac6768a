/* isa.c: which instruction set the kernels use; see isa.h. */
#include "compute/isa.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"

static const char *const names[R1_ISA_COUNT] = {
    [R1_ISA_SCALAR] = "scalar",         [R1_ISA_AVX2] = "avx2", [R1_ISA_AVX512] = "avx512",
    [R1_ISA_AVX512BF16] = "avx512bf16", [R1_ISA_NEON] = "neon",
};

const char *r1_isa_text(r1_isa isa)
{
    return names[isa];
}

r1_isa r1_isa_find(const char *text)
{
    for (int i = 0; i < R1_ISA_COUNT; i++)
        if (!strcmp(text, names[i]))
            return (r1_isa)i;
    return R1_ISA_SCALAR;
}

static bool has(const r1_os_cpu *cpu, r1_isa isa)
{
    switch (isa) {
    case R1_ISA_AVX2: return cpu->avx2;
    case R1_ISA_AVX512: return cpu->avx2 && cpu->avx512 && cpu->avx512_vnni;
    case R1_ISA_AVX512BF16: return has(cpu, R1_ISA_AVX512) && cpu->avx512_bf16;
    case R1_ISA_NEON: return cpu->neon && cpu->neon_dotprod;
    case R1_ISA_SCALAR:
    case R1_ISA_COUNT: break;
    }
    return isa == R1_ISA_SCALAR;
}

r1_isa r1_isa_detect(void)
{
    const r1_os_cpu cpu = r1_os_cpu_features();
    r1_isa best = R1_ISA_SCALAR;
    for (int i = 0; i < R1_ISA_COUNT; i++)
        if (has(&cpu, (r1_isa)i))
            best = (r1_isa)i;
    const char *forced = getenv("R1_ISA");
    if (!forced ||
        !*forced) /* Intel's vdpbf16ps does 0.7 of the work of its F32 multiply-add */
        return best == R1_ISA_AVX512BF16 && cpu.intel ? R1_ISA_AVX512 : best;
    for (int i = 0; i < R1_ISA_COUNT; i++)
        if (!strcmp(forced, names[i])) {
            if (has(&cpu, (r1_isa)i))
                return (r1_isa)i;
            r1_log(R1_LOG_WARN, "R1_ISA=%s: not on this processor, using %s", forced,
                   names[best]);
            return best;
        }
    r1_log(R1_LOG_WARN, "R1_ISA=%s: unknown (scalar, avx2, avx512, avx512bf16, neon), using %s",
           forced, names[best]);
    return best;
}
