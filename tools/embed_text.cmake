# Write a text file as a C string constant: cmake -DIN=FILE -DOUT=FILE.c -DNAME=SYMBOL -DHEADER=H -P
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
get_filename_component(stem ${IN} NAME)
file(WRITE ${OUT} "/* Made of ${stem} at build. */\n#include \"${HEADER}\"\n\nconst char ${NAME}[] = {\n${bytes}0};\n")
