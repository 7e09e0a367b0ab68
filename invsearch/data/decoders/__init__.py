"""What decodes images: a file and a row of :data:`invsearch.plugins.DECODERS` each."""

from invsearch.data.decoders.jpeg import Jpeg, jpeg_decoder

__all__ = ["Jpeg", "jpeg_decoder"]
