"""What decodes images: a file and a row of :data:`invsearch.plugins.DECODERS` each."""

from invsearch.data.decoders.jpeg import Jpeg, decoder_at_hand, jpeg_decoder

__all__ = ["Jpeg", "decoder_at_hand", "jpeg_decoder"]
