/* Buffer.text: the buffer as a text file, for json.dump, csv, print and whoever else writes str.
 *
 * It has no state but the buffer: position and content are the buffer's own, nothing waits to be flushed, newlines stay as
 * they are written, and its end closes nothing. */
#ifndef LT_POOL_TEXT_FACE_H
#define LT_POOL_TEXT_FACE_H

#include "pool/buffer.h"

PyObject *lt_text_face_new(lt_buffer *buffer);

#endif
