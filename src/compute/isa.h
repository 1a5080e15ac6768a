/* isa.h: the instruction sets that kernels are compiled for.  Files named *_kernels.c are compiled
 * once per row with R1_ISA_NAME set to the suffix and the flags of CMakeLists.txt; each defines
 * one table of functions whose symbol carries the suffix.  The backend chooses at start. */
#ifndef R1_ISA_H
#define R1_ISA_H

typedef enum {
    R1_ISA_SCALAR,
    R1_ISA_AVX2,       /* AVX2, FMA, F16C */
    R1_ISA_AVX512,     /* F, BW, DQ, VL, VNNI */
    R1_ISA_AVX512BF16, /* and BF16 */
    R1_ISA_NEON,       /* ARMv8.2 with dot product */
    R1_ISA_COUNT
} r1_isa;

/* The fastest that the processor, the kernel and R1_ISA (environment: scalar, avx2, avx512,
 * avx512bf16, neon) allow. */
r1_isa r1_isa_detect(void);
const char *r1_isa_text(r1_isa isa);
r1_isa r1_isa_find(const char *text); /* scalar when there is none of that name */

#define R1_ISA_PASTE2(a, b) a##_##b
#define R1_ISA_PASTE(a, b)  R1_ISA_PASTE2(a, b)
/* R1_ISA_SYMBOL(r1_matmul_kernels) -> r1_matmul_kernels_avx512 */
#define R1_ISA_SYMBOL(base) R1_ISA_PASTE(base, R1_ISA_NAME)

#endif
